package trade2026.authz_test

import data.trade2026.authz

site := {
	"issuer": "http://issuer.example",
	"audience": "trade2026",
	"jwks_url": "http://keys.example/jwks.json",
	"jwks_timeout": "2s",
}

key_set := `{"keys":[]}`

payloads := {
	"good": {"sub": "srv:oms", "scope": "orders:submit fills:read", "exp": 1},
	"unlimited": {"sub": "srv:oms", "scope": "orders:submit"},
	"no scope": {"sub": "srv:oms", "exp": 1},
	"blanks": {"sub": "srv:oms", "scope": "a  b", "exp": 1},
}

# Stands for the builtin: valid are the tokens above, for exactly the constraints that the policy must set.
verify(token, constraints) := [true, {}, payloads[token]] if {
	constraints == {"cert": key_set, "alg": "RS256", "iss": site.issuer, "aud": site.audience}
}

verify(token, _) := [false, {}, {}] if not payloads[token]

answer(request) := {"status_code": 200, "raw_body": key_set} if {
	request.url == site.jwks_url
	request.timeout == site.jwks_timeout
	request.raise_error == false
}

no_answer(_) := {"status_code": 0}

error_page(_) := {"status_code": 500, "raw_body": key_set}

decision(token, action) := result if {
	result := authz.allow with input as {"token": token, "action": action}
		with data.site as site
		with io.jwt.decode_verify as verify
		with http.send as answer
}

test_a_scope_of_the_token_is_allowed if {
	decision("good", "orders:submit") == true
	decision("good", "fills:read") == true
}

test_another_scope_is_denied if decision("good", "orders:cancel") == false

test_part_of_a_scope_is_denied if decision("good", "orders") == false

test_a_token_that_does_not_verify_is_denied if decision("forged", "orders:submit") == false

test_a_token_that_never_expires_is_denied if decision("unlimited", "orders:submit") == false

test_a_token_without_scopes_is_denied if decision("no scope", "orders:submit") == false

test_an_empty_action_is_denied if decision("blanks", "") == false

test_no_input_is_denied if {
	authz.allow == false with input as {} with data.site as site with http.send as answer
}

test_no_action_is_denied if {
	authz.allow == false with input as {"token": "good"}
		with data.site as site
		with io.jwt.decode_verify as verify
		with http.send as answer
}

test_without_an_answer_from_the_issuer_everything_is_denied if {
	authz.allow == false with input as {"token": "good", "action": "orders:submit"}
		with data.site as site
		with io.jwt.decode_verify as verify
		with http.send as no_answer
}

test_a_page_of_errors_is_no_key if {
	authz.allow == false with input as {"token": "good", "action": "orders:submit"}
		with data.site as site
		with io.jwt.decode_verify as verify
		with http.send as error_page
}

test_the_subject_is_the_tokens if {
	authz.subject == "srv:oms" with input as {"token": "good"}
		with data.site as site
		with io.jwt.decode_verify as verify
		with http.send as answer
}
