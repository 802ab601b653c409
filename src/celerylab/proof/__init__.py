"""The proof that a module's suite can fail, objective by objective, on real environments."""
