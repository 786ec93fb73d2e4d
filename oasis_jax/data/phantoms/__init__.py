"""Made-up heads, the data set of the quickstart."""
