"""Tables, charts, pictures and pages that show scores to people."""
