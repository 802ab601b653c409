"""Images of hosts, baked from the roles' `install` part, so that package lists exist once."""
