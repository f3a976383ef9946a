"""What maintainer scripts would have done, one kind a module."""
