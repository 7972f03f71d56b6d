"""From a trained model to files that other programs run; every writer compares its file with PyTorch."""
