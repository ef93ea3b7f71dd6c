"""A contamination probe: has a model seen these problems before?"""
