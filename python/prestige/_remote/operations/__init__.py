"""What a store does, as operations over the wire: one file for each kind."""
