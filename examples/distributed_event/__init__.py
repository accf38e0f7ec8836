"""Several nodes wait for events, and a monitor proves that each set wakes every waiter once."""
