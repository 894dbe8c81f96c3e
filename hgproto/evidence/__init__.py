"""Evidence that requirements hold: proofs, examples, explanations, coverage, and traces."""
