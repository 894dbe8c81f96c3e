"""The validator: judges, findings, baselines, and reports."""
