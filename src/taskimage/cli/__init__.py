"""Floor 4, the command: text to values, one library call, values to text."""
