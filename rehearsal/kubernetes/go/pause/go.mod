module docker-ml-api/rehearsal/pause

go 1.24.0
