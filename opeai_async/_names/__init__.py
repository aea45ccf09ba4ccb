"""What things are called: here, in other clients, and by vendors."""
