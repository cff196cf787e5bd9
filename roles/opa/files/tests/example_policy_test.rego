package example_test

import data.example

test_everybody_may_do_everything if example.allow == true with input as {}
