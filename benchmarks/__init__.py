"""Scripts that measure time, memory and coverage, and the tables that they wrote."""
