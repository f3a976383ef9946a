"""Floor 3, use cases: the only place where adapters meet; they yield events and print nothing."""
