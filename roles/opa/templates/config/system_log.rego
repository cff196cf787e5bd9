# Hide tokens in the decision log, because a reader of the log could use them.
package system.log

mask contains "/input/token"
