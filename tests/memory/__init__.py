"""How much memory the program takes: under the ceiling it prints, and no more after a million tasks than after a few."""
