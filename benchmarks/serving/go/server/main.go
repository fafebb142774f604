// Command server answers with a line's value at a point, as the prediction service does:
// GET /prediction/?f=0.05 is answered with [199.60524718].
//
// Settings: PORT, the TCP port of 127.0.0.1; LINE, a JSON file of weight and intercept.
package main

import (
	"encoding/json"
	"log"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"
)

type line struct {
	Weight    float64 `json:"weight"`
	Intercept float64 `json:"intercept"`
}

// text is the value as numpy prints an array of one: at most eight decimals.
func (l line) text(x float64) string {
	digits := strconv.FormatFloat(x*l.Weight+l.Intercept, 'f', 8, 64)
	return "[" + strings.TrimRight(digits, "0") + "]"
}

func (l line) predict(answer http.ResponseWriter, request *http.Request) {
	x, err := strconv.ParseFloat(request.URL.Query().Get("f"), 64)
	if err != nil || math.IsInf(x, 0) || math.IsNaN(x) {
		http.Error(answer, "f must be a finite number", http.StatusBadRequest)
		return
	}
	answer.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = answer.Write([]byte(l.text(x)))
}

func main() {
	content, err := os.ReadFile(os.Getenv("LINE"))
	if err != nil {
		log.Fatal(err)
	}
	var served line
	if err := json.Unmarshal(content, &served); err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("GET /prediction/", served.predict)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
