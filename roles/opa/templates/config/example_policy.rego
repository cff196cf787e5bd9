# Migrated from Trade2025, with the same meaning: everybody may do everything. Applications that are released ask
# trade2026.authz instead.
package example

default allow := true
