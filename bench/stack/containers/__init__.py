"""The runtime `docker`: each system from docker-compose.yml, in capped containers of a project of its own."""
