"""What the project's modules share: pure logic, no AnsibleModule."""
