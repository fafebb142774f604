/* Weighted sums of columns of numbers: what forms/coefficients.py does in Python, in the same order
   of the same operations, so that the results are the same to the last bit. */

/* Adds weight * value of each row to its sum, or sets it if this is the first column; the least
   and the greatest value go to bounds[0] and bounds[1]. */
void add_column(const double *values, long rows, double weight, int first, double *sums,
                double *bounds)
{
    double least = values[0], greatest = values[0];
    long row;

    for (row = 0; row < rows; row++) {
        double value = values[row];
        if (value < least)
            least = value;
        if (value > greatest)
            greatest = value;
        if (first)
            sums[row] = value * weight;
        else
            sums[row] += value * weight;
    }
    bounds[0] = least;
    bounds[1] = greatest;
}

/* Adds the intercept to each sum. Returns 0, or not a number if a sum is not finite. */
double add_intercept(double *sums, long rows, double intercept)
{
    double fault = 0;
    long row;

    for (row = 0; row < rows; row++) {
        sums[row] += intercept;
        fault += sums[row] - sums[row];
    }
    return fault;
}
