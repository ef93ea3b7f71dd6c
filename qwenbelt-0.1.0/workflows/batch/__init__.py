"""Many runs as durable workflows: killed and started again, they go on where they were."""
