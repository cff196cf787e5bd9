"""What a service role declares: the kinds of its values, the schema of its dictionary, the record built from both."""
