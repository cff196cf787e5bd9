# What a caller may do follows from the access token that authn gave it, and from nothing else.
#
# input.token   the token, as it came in the header Authorization, without the word Bearer
# input.action  the scope that the action needs, as orders:submit
package trade2026.authz

# Whatever goes wrong ends here: no token, a bad one, keys that cannot be read.
default allow := false

allow if {
	input.action in scopes
}

# Scopes of a valid token. Empty strings, which "a  b" would give, are no scopes.
scopes := {scope | some scope in split(claims.scope, " "); scope != ""}

# Who asks; undefined without a valid token.
subject := claims.sub

# The claims of a token that is signed with one of authn's keys, for us, and not expired.
claims := payload if {
	[valid, _, payload] := io.jwt.decode_verify(input.token, {
		"cert": keys,
		"alg": "RS256",
		"iss": data.site.issuer,
		"aud": data.site.audience,
	})
	valid

	# decode_verify looks at it only where it is there.
	payload.exp
}

# Kept for as long as authn's answer says, so that a decision costs no request.
keys := response.raw_body if {
	response := http.send({
		"method": "GET",
		"url": data.site.jwks_url,
		"timeout": data.site.jwks_timeout,
		"cache": true,
		"raise_error": false,
	})
	response.status_code == 200
}
