// Genuine pairs whose margin is 1, in closed form, and gradients made of what their rows were pulled by. Compiled once
// for each instruction set.
//
// For unit rows 1 - <u, v> = |u - v|^2 / 2. Within a class, with d_i = u_i - c for any anchor c, W the sum of the
// weights,
//     sum over i < j of w_i w_j |u_i - u_j|^2  =  W * sum of w |d|^2  -  |sum of w d|^2,
// and between two sides W2 * sum of w1 |d1|^2 + W1 * sum of w2 |d2|^2 - 2 <sum of w1 d1, sum of w2 d2>. Taken from one
// of the class's own rows, the differences are small where the loss is: equal rows cost exactly 0. A zero row has s =
// 0: its pairs cost 1 each and pull at nothing.
//
// The derivative of the class's total in u_i is -w_i * sum of w_j u_j; along the sphere only what is orthogonal to u_i
// counts, and there u_j may be replaced by u_j - u_i = d_j - d_i: -w_i * (sum of w d - W d_i), again exactly 0 for
// equal rows. A row's gradient is the orthogonal part of all that pulls at it, divided by its length.
#include "hinges.hpp"
#include "unit_rows.hpp"

#ifndef COSPAIR_ISA
#error "compile with -DCOSPAIR_ISA=baseline, v3 or v4"
#endif

namespace cospair {
namespace {

inline double dot(const double* a, const double* b, std::int64_t d) {
  Lanes sum = {};
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) sum = multiply_add(load(a + j), load(b + j), sum);
  double rest = 0;
  for (; j < d; ++j) rest += a[j] * b[j];
  return total(sum) + rest;
}

// a += factor * b
inline void add(double* a, double factor, const double* b, std::int64_t d) {
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) store(a + j, multiply_add(load(b + j), splat(factor), load(a + j)));
  for (; j < d; ++j) a[j] += factor * b[j];
}

// pull = (the part of step + impostor * pull that is orthogonal to the unit row) * inverse
template <class P>
inline void replace_pull(P* pull, double* step, const double* unit, double impostor, double inverse, std::int64_t d) {
  std::int64_t j = 0;
  for (; j + kLanes <= d; j += kLanes) store(step + j, multiply_add(load(pull + j), splat(impostor), load(step + j)));
  for (; j < d; ++j) step[j] += impostor * scalar(pull[j]);
  add(step, -dot(step, unit, d), unit, d);
  for (j = 0; j + kLanes <= d; j += kLanes) store(pull + j, load(step + j) * splat(inverse));
  for (; j < d; ++j) put(pull + j, step[j] * inverse);
}

}  // namespace

namespace COSPAIR_ISA {

void make_unit_row(const Side& side, std::int64_t position, double* out) { unit_row(side, position, out); }

// Adds rows [begin, end) of a class; `distances` (or null) takes |d|^2, -1 for zero rows. scratch holds d doubles.
void class_sums(const Side& side, std::int64_t begin, std::int64_t end, const double* anchor, double* sum,
                double* distances, double* scratch, ClassSums& out) {
  for (std::int64_t p = begin; p < end; ++p) {
    const double weight = side.weight_of(p);
    if (side.inverse_of(p) == 0) {
      out.zero += weight;
      out.zero2 += weight * weight;
      if (distances) distances[p - begin] = -1;
      continue;
    }
    unit_row(side, p, scratch);
    add(scratch, -1.0, anchor, side.d);
    const double square = dot(scratch, scratch, side.d);
    if (distances) distances[p - begin] = square;
    add(sum, weight, scratch, side.d);
    out.weight += weight;
    out.spread += weight * square;
  }
}

// |u_i - u_j|^2
double squared_gap(const Side& a, std::int64_t i, const Side& b, std::int64_t j) {
  const double inverse_a = a.inverse_of(i), inverse_b = b.inverse_of(j);
  double square = 0;
  with_element(a.element, [&](auto type) {
    const auto *x = row_at<decltype(type)>(a, i), *y = row_at<decltype(type)>(b, j);
    Lanes sum = {};
    std::int64_t k = 0;
    for (; k + kLanes <= a.d; k += kLanes) {
      const Lanes gap = load(x + k) * splat(inverse_a) - load(y + k) * splat(inverse_b);
      sum = multiply_add(gap, gap, sum);
    }
    square = total(sum);
    for (; k < a.d; ++k) {
      const double gap = scalar(x[k]) * inverse_a - scalar(y[k]) * inverse_b;
      square += gap * gap;
    }
  });
  return square;
}

// Turns the pulls of rows [begin, end) into gradients: the orthogonal part of impostor * pull - genuine * w (sum -
// weight d), over the length. sum may be null: no closed form. scratch holds 2 d doubles.
void finish_rows(const Side& side, std::int64_t begin, std::int64_t end, const double* anchor, const double* sum,
                 double weight, double genuine, double impostor, void* pull, double* scratch) {
  const std::int64_t d = side.d;
  double *unit = scratch, *step = scratch + d;
  for (std::int64_t p = begin; p < end; ++p) {
    const std::int64_t row = side.order[p];
    const double inverse = side.inverse[row];
    unit_row(side, p, unit);
    for (std::int64_t j = 0; j < d; ++j) step[j] = 0;
    if (sum && inverse != 0) {
      const double own = genuine * side.weight_of(p);
      add(step, own * weight, unit, d);
      add(step, -own * weight, anchor, d);
      add(step, -own, sum, d);
    }
    if (side.element == Element::f64)
      replace_pull(static_cast<double*>(pull) + row * d, step, unit, impostor, inverse, d);
    else
      replace_pull(static_cast<float*>(pull) + row * d, step, unit, impostor, inverse, d);
  }
}

}  // namespace COSPAIR_ISA
}  // namespace cospair
