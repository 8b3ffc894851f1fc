"""The way out of a container without a network: to the model API, and to nothing else."""
