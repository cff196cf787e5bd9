# Tokens stay out of the decision log: whoever reads the log could use them.
package system.log

mask contains "/input/token"
