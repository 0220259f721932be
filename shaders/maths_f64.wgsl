alias Real = f64;
