# Which requests OPA itself answers: questions about policies and its own state. Nobody says who they are, so nobody may write
# policies or data, or have a query of their own run, which could make the server fetch any address.
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

# A question with an input is a POST.
allow if {
	input.method == "POST"
	input.path[0] in {"v0", "v1"}
	input.path[1] == "data"
}

# Without a path it goes to the default decision.
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
