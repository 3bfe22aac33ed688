"""What the commands ask of a worker's code, each as `python -m`: imports all below, and nothing imports it."""
