# Authorization depends only on the access token that authn issued to the caller.
#
# input.token   the token from the header Authorization, without the word Bearer
# input.action  the scope that the action requires, such as orders:submit
package trade2026.authz

# Deny by default: no token, an invalid token, or keys that cannot be read.
default allow := false

allow if {
	input.action in scopes
}

# The scopes of a valid token. Two spaces in a row give an empty string, which is not a scope.
scopes := {scope | some scope in split(claims.scope, " "); scope != ""}

# The caller; undefined without a valid token.
subject := claims.sub

# The claims of a token that one of authn's keys signed for this audience, and that has not expired.
claims := payload if {
	[valid, _, payload] := io.jwt.decode_verify(input.token, {
		"cert": keys,
		"alg": "RS256",
		"iss": data.site.issuer,
		"aud": data.site.audience,
	})
	valid

	# decode_verify checks the expiry only if the token has one.
	payload.exp
}

# Cached for as long as authn's response allows, so that decisions need no request.
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
