package example_test

test_whoever_asks_is_allowed if data.example.allow with input as {}

test_a_named_caller_is_allowed if data.example.allow with input as {"user": "srv:oms", "action": "orders:submit"}
