"""How much memory the program takes: under the ceiling it prints, and the same after a million tasks as after a few."""
