package system.authz_test

import data.system.authz

allowed := [
	{"method": "GET", "path": ["health"]},
	{"method": "HEAD", "path": ["health"]},
	{"method": "GET", "path": ["metrics"]},
	{"method": "GET", "path": ["v1", "policies"]},
	{"method": "GET", "path": ["v1", "policies", "app", "policies", "example_policy.rego"]},
	{"method": "GET", "path": ["v1", "data", "example", "allow"]},
	{"method": "POST", "path": ["v1", "data", "example", "allow"]},
	{"method": "POST", "path": ["v0", "data", "example", "allow"]},
	{"method": "POST", "path": []},
	{"method": "POST", "path": [""]},
]

denied := [
	{"method": "PUT", "path": ["v1", "policies", "example"]},
	{"method": "DELETE", "path": ["v1", "policies", "example"]},
	{"method": "PUT", "path": ["v1", "data", "site"]},
	{"method": "PATCH", "path": ["v1", "data", "site"]},
	{"method": "DELETE", "path": ["v1", "data", "site"]},
	{"method": "POST", "path": ["v1", "query"]},
	{"method": "GET", "path": ["v1", "query"]},
	{"method": "POST", "path": ["v1", "compile"]},
	{"method": "POST", "path": ["v1", "policies"]},
	{"method": "PUT", "path": []},
	{"method": "GET", "path": ["debug", "pprof"]},
	{"method": "GET", "path": ["v1", "config"]},
	{},
]

test_questions_are_answered if {
	every request in allowed {
		authz.allow == true with input as request
	}
}

test_everything_else_is_refused if {
	every request in denied {
		authz.allow == false with input as request
	}
}
