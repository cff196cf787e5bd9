package example

# Allow all authenticated users for now
default allow := true
