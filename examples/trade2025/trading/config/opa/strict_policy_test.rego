package strict_test

claims := {"iss": "authn", "aud": "trade2025", "exp": 4102444800, "scope": "orders:submit fills:read"}

access_token := {"alg": "RS256", "typ": "at+jwt", "kid": "1"}

authn_answers(_) := {"status_code": 200, "raw_body": "the keys"}

authn_is_down(_) := {"status_code": 0, "error": {"message": "connection refused"}}

# Stands for a verified token, and insists on what the policy must demand of one.
good(_, constraints) := [true, access_token, claims] if {
	constraints == {"cert": "the keys", "alg": "RS256", "iss": "authn", "aud": "trade2025"}
}

bad(_, _) := [false, {}, {}]

identity(_, _) := [true, {"alg": "RS256", "typ": "JWT"}, claims]

everlasting(_, _) := [true, access_token, object.remove(claims, ["exp"])]

without_scope(_, _) := [true, access_token, object.remove(claims, ["scope"])]

asked := {"token": "a.b.c", "action": "orders:submit"}

test_a_scope_of_the_token_is_allowed if {
	data.strict.allow with input as asked with http.send as authn_answers with io.jwt.decode_verify as good
	data.strict.reasons == set() with input as asked with http.send as authn_answers with io.jwt.decode_verify as good
}

test_another_scope_is_refused_and_said if {
	other := {"token": "a.b.c", "action": "pnl:compute"}
	not data.strict.allow with input as other with http.send as authn_answers with io.jwt.decode_verify as good
	reasons := data.strict.reasons with input as other
		with http.send as authn_answers
		with io.jwt.decode_verify as good
	reasons == {"the token has no scope for the action"}
}

test_a_part_of_a_scope_is_not_the_scope if {
	part := {"token": "a.b.c", "action": "orders"}
	not data.strict.allow with input as part with http.send as authn_answers with io.jwt.decode_verify as good
}

test_a_bad_token_is_refused_and_said if {
	not data.strict.allow with input as asked with http.send as authn_answers with io.jwt.decode_verify as bad
	reasons := data.strict.reasons with input as asked
		with http.send as authn_answers
		with io.jwt.decode_verify as bad
	reasons == {"the token is missing, invalid, expired or not for us"}
}

test_a_token_of_another_kind_is_refused if {
	not data.strict.allow with input as asked with http.send as authn_answers with io.jwt.decode_verify as identity
}

test_a_token_without_an_end_is_refused if {
	not data.strict.allow with input as asked with http.send as authn_answers with io.jwt.decode_verify as everlasting
}

test_a_token_without_scopes_is_refused if {
	not data.strict.allow with input as asked with http.send as authn_answers with io.jwt.decode_verify as without_scope
}

test_nobody_is_allowed_without_a_token if {
	not data.strict.allow with input as {"action": "orders:submit"} with http.send as authn_answers
}

test_nobody_is_allowed_while_authn_is_down if {
	not data.strict.allow with input as asked with http.send as authn_is_down with io.jwt.decode_verify as good
}
