"""What the tests use, and is no test: plays, servers, doubles, examples, the order of tests."""
