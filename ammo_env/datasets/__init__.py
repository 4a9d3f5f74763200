"""Knowledge from real data: one file per source, and the fit that turns ratings into unit vectors."""
