"""Where the errors of a model are: one HTML page; and the difference of two models."""
