# Migrated from Trade2025 with the same meaning: everything is allowed. Released applications use trade2026.authz
# instead.
package example

default allow := true
