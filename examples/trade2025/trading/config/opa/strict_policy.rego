# To replace example: a caller may do what one of its token's scopes says.
#
# input.token    access token as authn issued it, without "Bearer"
# input.action   the scope that the request needs, e.g. "orders:submit"
package strict

default allow := false

allow if {
	some scope in split(token.payload.scope, " ")
	scope == input.action
}

# The reasons for a refusal, for debugging a client; empty if the caller is allowed.
reasons contains "the token is missing, invalid, expired or not for us" if not token

reasons contains "the token has no scope for the action" if {
	token
	not allow
}

token := {"header": header, "payload": payload} if {
	[valid, header, payload] := io.jwt.decode_verify(input.token, {
		"cert": jwks,
		"alg": "RS256",
		"iss": "authn",
		"aud": "trade2025",
	})
	valid

	# RFC 9068: so that no other kind of token passes for an access token.
	lower(header.typ) == "at+jwt"

	# Checked above only where it is there.
	is_number(payload.exp)
}

# authn's container, reached over trade2025-frontend. One request in five minutes.
jwks := answer.raw_body if {
	answer := http.send({
		"method": "GET",
		"url": "http://authn:8114/.well-known/jwks.json",
		"timeout": "2s",
		"raise_error": false,
		"force_cache": true,
		"force_cache_duration_seconds": 300,
	})
	answer.status_code == 200
}
