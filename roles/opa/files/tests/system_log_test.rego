package system.log_test

import data.system.log

test_tokens_are_left_out_of_the_log if log.mask == {"/input/token"}
