module hello-app

go 1.19
