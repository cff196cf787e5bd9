"""References to mapped places in text: found, rewritten whole, or reported. Pure: text in, edits and reasons out."""
