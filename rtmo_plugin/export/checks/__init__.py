"""What a written file must fulfill: PyTorch's outputs within a tolerance, and the AP of an eight-bit file."""
