# The requests that OPA answers: decisions, policies and its own state. There is no authentication, so nobody may write
# policies or data, or run a query of their own, which could make the server fetch any address.
package system.authz

default allow := false

allow if {
	input.method in {"GET", "HEAD"}
	input.path[0] in {"health", "metrics"}
}

allow if {
	input.method == "GET"
	reads
}

# A decision with an input is requested with POST.
allow if {
	input.method == "POST"
	input.path[0] in {"v0", "v1"}
	input.path[1] == "data"
}

# A POST without a path requests the default decision.
allow if {
	input.method == "POST"
	input.path in [[], [""]]
}

reads if {
	input.path[0] in {"v0", "v1"}
	input.path[1] == "data"
}

reads if {
	input.path[0] == "v1"
	input.path[1] == "policies"
}
