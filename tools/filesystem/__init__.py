"""File tools that cannot leave their folders, whatever links or other programs do."""
