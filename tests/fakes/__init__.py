"""What stands for a driver and GPUs where there are none."""
