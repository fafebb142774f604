module docker-ml-api/benchmarks/serving/server

go 1.24.0
