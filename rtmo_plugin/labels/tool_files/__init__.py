"""Files of labeling tools that are read, and of Label Studio, which is written too: a module for each tool."""
